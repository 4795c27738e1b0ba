import Type from 'typebox';
import { route } from '../route.ts';
import { Status } from '../schemas.ts';

const tags = ['operations'];

export const operationRoutes = {
  home: route({
    id: 'home',
    method: 'GET',
    path: '/',
    summary: 'What runs here, as a page for people',
    tags,
    auth: 'none',
    responses: { 200: { description: 'an HTML page', type: 'text/html' } },
  }),
  walkthrough: route({
    id: 'walkthrough',
    method: 'GET',
    path: '/walkthrough',
    summary: 'The way of a record, as a page for people who have never seen a ledger',
    tags,
    auth: 'none',
    responses: { 200: { description: 'an HTML page', type: 'text/html' } },
  }),
  stylesheet: route({
    id: 'stylesheet',
    method: 'GET',
    path: '/assets/page.css',
    summary: 'Style of the pages of this node',
    tags,
    auth: 'none',
    responses: { 200: { description: 'a style sheet', type: 'text/css' } },
  }),
  health: route({
    id: 'health',
    method: 'GET',
    path: '/healthz',
    summary: 'Whether the process answers',
    tags,
    auth: 'none',
    responses: {
      200: { description: 'it does', schema: Type.Object({ status: Type.Literal('ok') }), example: { status: 'ok' } },
    },
  }),
  ready: route({
    id: 'ready',
    method: 'GET',
    path: '/readyz',
    summary: 'Whether the ledger takes transactions and its head is fresh',
    tags,
    auth: 'none',
    responses: {
      200: { description: 'ready', schema: Type.Object({ status: Type.Literal('ready'), height: Type.Integer() }) },
      503: { description: 'not ready', type: 'application/problem+json' },
    },
  }),
  metrics: route({
    id: 'metrics',
    method: 'GET',
    path: '/metrics',
    summary: 'Measurements in the text format of Prometheus, without identifiers',
    tags,
    auth: 'none',
    responses: { 200: { description: 'metrics', type: 'text/plain' } },
  }),
  status: route({
    id: 'status',
    method: 'GET',
    path: '/api/status',
    summary: 'Network, version, latest block and organisations',
    tags,
    auth: 'none',
    responses: { 200: { description: 'status', schema: Status } },
  }),
  openApi: route({
    id: 'openApi',
    method: 'GET',
    path: '/api/openapi.json',
    summary: 'This interface as an OpenAPI document',
    tags,
    auth: 'none',
    responses: { 200: { description: 'OpenAPI 3.1', schema: Type.Record(Type.String(), Type.Unknown()) } },
  }),
  reference: route({
    id: 'reference',
    method: 'GET',
    path: '/api/reference',
    summary: 'This interface as a page for people',
    tags,
    auth: 'none',
    responses: { 200: { description: 'an HTML page', type: 'text/html' } },
  }),
};
