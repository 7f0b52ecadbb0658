/** For `node --import`: puts the modules of this folder in the place of the program's own, which then watch nothing. */
import { registerHooks } from 'node:module';

const bare = new Map([
  ['instruments.ts', import.meta.resolve('./instruments.ts')],
  ['judge.ts', import.meta.resolve('./judge.ts')],
]);

registerHooks({
  resolve(specifier, context, next) {
    const instead = bare.get(specifier.slice(specifier.lastIndexOf('/') + 1));
    const isOurs = context.parentURL?.includes('/src/') === true;
    return next(instead === undefined || !isOurs ? specifier : instead, context);
  },
});
