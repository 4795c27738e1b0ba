import fc from 'fast-check';

/** Every run tries the same cases; SALUS_SEED says others. A property with a seed of its own keeps it. */
const seed = Number(process.env.SALUS_SEED ?? 1);

fc.configureGlobal({ seed });
