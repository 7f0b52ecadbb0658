/** For `node --import`: puts the modules of this folder in the place of the program's own, which then watch nothing. */
import { registerHooks } from 'node:module';

const bare = ['instruments.ts', 'judge.ts'];

registerHooks({
  resolve(specifier, context, next) {
    const name = bare.find((file) => specifier.endsWith(`/${file}`));
    const isOurs = context.parentURL?.includes('/src/') === true;
    return next(name === undefined || !isOurs ? specifier : new URL(name, import.meta.url).href, context);
  },
});
