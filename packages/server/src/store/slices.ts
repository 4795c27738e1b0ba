/** Values that one statement carries at the most. */
const parametersMax = 1_000;

/** Rows, as many at a time as one statement takes. */
export function* slicesOf<T>(rows: readonly T[], valuesPerRow = 1): Generator<T[]> {
  const rowsMax = Math.floor(parametersMax / valuesPerRow);
  for (let from = 0; from < rows.length; from += rowsMax) yield rows.slice(from, from + rowsMax);
}
