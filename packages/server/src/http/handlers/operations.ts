import { ApiErrorCodes, routes, type Status } from '@salus/api';
import type { FastifyInstance } from 'fastify';
import type { LedgerAccess } from '../../node/ledger-access.ts';
import type { HttpMetrics } from '../metrics.ts';
import type { Mounter } from '../mount.ts';
import { homePage } from '../pages/home.ts';
import { styleSheet } from '../pages/page.ts';
import { type OpenApiDocument, referencePage } from '../pages/reference.ts';
import { walkthroughPage } from '../pages/walkthrough.ts';
import { ApiFault } from '../problems.ts';

/** A head older than this is stale: clients refuse it, and so does /readyz. Idle nodes make a block every 15 s. */
const headAgeMsMax = 60_000;

export interface OperationDependencies {
  http: FastifyInstance;
  ledger: LedgerAccess;
  metrics: HttpMetrics;
  status(): Status;
  isStopping(): boolean;
  /** Whether the disk has room for what comes next. */
  hasRoom(): boolean;
  /** Throws where a store does not answer. */
  askStores(): Promise<void>;
}

function mountHealth(
  { mount }: Mounter,
  { ledger, metrics, isStopping, hasRoom, askStores }: OperationDependencies,
): void {
  mount(routes.health, () => ({ status: 'ok' as const }));

  mount(routes.ready, async () => {
    const { height, timeMs } = ledger.head();
    const isFresh = Date.now() - timeMs <= headAgeMsMax;
    const isAble = isFresh && hasRoom() && ledger.problem() === undefined;
    if (isStopping() || !isAble) throw new ApiFault(ApiErrorCodes.unavailable);
    await askStores();
    return { status: 'ready' as const, height };
  });

  mount(routes.metrics, async ({ reply }) => {
    return reply.type(metrics.registry.contentType).send(await metrics.scrape());
  });
}

export function mountOperations(mounter: Mounter, dependencies: OperationDependencies): void {
  const { http, status } = dependencies;
  const document = (): OpenApiDocument => http.swagger() as unknown as OpenApiDocument;
  let reference: string | undefined;
  mountHealth(mounter, dependencies);

  mounter.mount(routes.status, status);
  mounter.mount(routes.home, () => homePage(status()));
  mounter.mount(routes.walkthrough, ({ request }) => {
    return walkthroughPage(`${request.protocol}://${request.host}`, status().sandbox);
  });
  mounter.mount(routes.openApi, () => document() as unknown as Record<string, unknown>);
  mounter.mount(routes.reference, () => {
    reference ??= referencePage(document());
    return reference;
  });
  mounter.mount(routes.stylesheet, ({ reply }) => {
    reply.header('cache-control', 'public, max-age=3600');
    return styleSheet;
  });
}
