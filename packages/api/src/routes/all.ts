import type { RouteDefinition } from '../route.ts';
import { accessRoutes } from './access.ts';
import { custodyRoutes } from './custody.ts';
import { delegateRoutes } from './delegates.ts';
import { eventRoutes } from './events.ts';
import { fhirRoutes } from './fhir.ts';
import { historyRoutes } from './history.ts';
import { ledgerRoutes } from './ledger.ts';
import { operationRoutes } from './operations.ts';
import { peerRoutes } from './peers.ts';
import { recordRoutes } from './records.ts';
import { staffRoutes } from './staff.ts';
import { walletRoutes } from './wallet.ts';

/** Every route of a node, by id. A group of routes is added here and nowhere else. */
export const routes = {
  ...operationRoutes,
  ...ledgerRoutes,
  ...eventRoutes,
  ...accessRoutes,
  ...walletRoutes,
  ...delegateRoutes,
  ...historyRoutes,
  ...peerRoutes,
  ...recordRoutes,
  ...staffRoutes,
  ...custodyRoutes,
  ...fhirRoutes,
} satisfies Record<string, RouteDefinition>;
