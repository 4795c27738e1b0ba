export * from './client.ts';
export * from './errors.ts';
export * from './event-stream.ts';
export * from './route.ts';
export { routes } from './routes/all.ts';
export {
  fhirRoutes,
  fhirType,
  formType,
  smallBundleBytesMax,
} from './routes/fhir.ts';
export { ImportReport, importBytesMax } from './routes/records.ts';
export * from './schemas.ts';
export {
  isSealedRequest,
  type SealedRequest,
  SealedRequestSchema,
  sealedContext,
  sealedRequestFormat,
} from './sealed-content.ts';
export * from './wallet-token.ts';
