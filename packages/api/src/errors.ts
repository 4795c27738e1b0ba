/**
 * Errors of the HTTP interface itself: 600–699. What a transaction, a contract or the vault refuses keeps its own number.
 * `status` is the HTTP status, `title` names the kind of problem, `advice` says what to do next.
 */
export interface ApiErrorEntry {
  readonly name: string;
  readonly status: number;
  readonly title: string;
  readonly advice: string;
}

export const ApiErrorCodes = {
  malformedRequest: 600,
  malformedUrl: 601,
  malformedJson: 602,
  invalidInput: 603,
  unsupportedContentType: 604,
  bodyTooLarge: 605,
  notFound: 606,
  methodNotAllowed: 607,
  tooManyRequests: 608,
  internal: 609,
  unavailable: 610,
  headersTooLarge: 611,
  requestTimeout: 612,
  tokenMissing: 620,
  tokenMalformed: 621,
  tokenExpired: 622,
  tokenWrongAudience: 623,
  tokenUnknownKey: 624,
  tokenBadSignature: 625,
  tokenNotAllowed: 626,
  tokenNotBound: 627,
  tokenUsed: 628,
  transactionUnknown: 630,
  blockUnknown: 631,
  cursorInvalid: 632,
  transactionRejected: 633,
  organizationUnknown: 634,
} as const;

export type ApiErrorCode = (typeof ApiErrorCodes)[keyof typeof ApiErrorCodes];

const entry = (name: string, status: number, title: string, advice: string): ApiErrorEntry => ({
  name,
  status,
  title,
  advice,
});

export const apiErrors: Readonly<Record<ApiErrorCode, ApiErrorEntry>> = {
  600: entry('malformedRequest', 400, 'The request is not well-formed HTTP', 'Send a request that follows RFC 9112.'),
  601: entry(
    'malformedUrl',
    400,
    'The address is not well-formed',
    'Percent-encode what is not allowed in a path; see /api/reference for the paths that exist.',
  ),
  602: entry('malformedJson', 400, 'The body is not valid JSON', 'Send one JSON value as UTF-8.'),
  603: entry(
    'invalidInput',
    400,
    'The request does not match the description of this route',
    'Correct the members named in `errors`; /api/reference shows what this route takes.',
  ),
  604: entry(
    'unsupportedContentType',
    415,
    'This route does not take that content type',
    'Set Content-Type to one of the types that /api/reference names for this route.',
  ),
  605: entry('bodyTooLarge', 413, 'The body is larger than this route takes', 'Split it into several requests.'),
  606: entry('notFound', 404, 'There is nothing here', 'Look at /api/reference for the paths that exist.'),
  607: entry('methodNotAllowed', 405, 'This path does not take that method', 'Use a method of the Allow header.'),
  608: entry(
    'tooManyRequests',
    429,
    'Too many requests from one address',
    'Wait for the number of seconds in Retry-After and repeat the request.',
  ),
  609: entry(
    'internal',
    500,
    'The node made a mistake',
    'Repeat the request; if it fails again, give the request id to whoever runs this node.',
  ),
  610: entry('unavailable', 503, 'The node is not ready', 'Repeat the request in a few seconds; /readyz says when.'),
  611: entry('headersTooLarge', 431, 'The headers are too large', 'Send fewer or shorter headers.'),
  612: entry('requestTimeout', 408, 'The request did not arrive in time', 'Repeat it on a new connection.'),
  620: entry(
    'tokenMissing',
    401,
    'This route needs a token',
    'Send `Authorization: Bearer …`; `salus token` prints one on the machine of the node.',
  ),
  621: entry('tokenMalformed', 401, 'The token is not one of this network', 'Get a new token with `salus token`.'),
  622: entry('tokenExpired', 401, 'The token has expired or is not valid yet', 'Get a new token; check the clock.'),
  623: entry(
    'tokenWrongAudience',
    401,
    'The token is for another network or organisation',
    'Get a token whose audience is this network (`chain` in /api/status).',
  ),
  624: entry(
    'tokenUnknownKey',
    401,
    'The key of the token is not a valid key on the ledger',
    'Sign with the registered authentication key of an active member, or the patient key of a registered wallet.',
  ),
  625: entry('tokenBadSignature', 401, 'The signature of the token is wrong', 'Sign it again with the key of its kid.'),
  626: entry('tokenNotAllowed', 403, 'This token does not open this route', 'Use the token that this route names.'),
  627: entry(
    'tokenNotBound',
    401,
    'The token was made for another request',
    'Make a token whose htm and htu are the method and path of this request.',
  ),
  628: entry('tokenUsed', 401, 'The token was used already', 'Sign a new token for every request between nodes.'),
  630: entry(
    'transactionUnknown',
    404,
    'No transaction of that hash is on this ledger',
    'Check the hash; a transaction that is refused never reaches a block.',
  ),
  631: entry('blockUnknown', 404, 'There is no block of that height yet', 'Ask /api/status for the latest height.'),
  632: entry(
    'cursorInvalid',
    400,
    'The cursor is not one that this node gave',
    'Start without Last-Event-ID, or with the id of the last event you received.',
  ),
  633: entry(
    'transactionRejected',
    422,
    'The transaction is on the ledger and was rejected',
    'The code and log say which rule refused it; correct it and sign a new transaction.',
  ),
  634: entry(
    'organizationUnknown',
    404,
    'No organisation of that name is hosted here',
    'See /api/status for those that are.',
  ),
};
