/** Every hook that there is: what it does, or undefined on purpose. One that the SDK adds does not compile. */
export type Considered<Interceptor> = { readonly [Hook in keyof Interceptor]-?: Interceptor[Hook] | undefined };
