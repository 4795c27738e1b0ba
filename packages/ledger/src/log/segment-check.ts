import { ledgerError } from '../errors.ts';
import { type LogLocation, type LogScan, listSegments, readSegmentHead, segmentName } from './segment.ts';

type Index = { firstHeight: number; headHeight: number; location(height: number): LogLocation | undefined };

function damaged(segment: number, what: string): Error {
  return ledgerError('blockLogDamaged', `${segmentName(segment)}: ${what}`);
}

/**
 * Whether the log still has every file, at its whole length, that the index says blocks are in. A start reads only the
 * log's end: without this a missing or shortened file would show when somebody asks for a block of it.
 */
export async function checkSegments(scan: LogScan, { firstHeight, headHeight, location }: Index): Promise<void> {
  const segments = listSegments(scan.files, scan.dir);
  if (headHeight < firstHeight) return;
  if (segments[0] !== firstHeight) throw damaged(firstHeight, 'it is missing');
  for (const [position, segment] of segments.entries()) {
    const { bytes, wholeBytes } = await readSegmentHead(scan, segment);
    if (bytes < wholeBytes) throw damaged(segment, `${bytes} bytes of ${wholeBytes}`);
    const next = segments[position + 1] ?? headHeight + 1;
    const last = location(Math.min(next - 1, headHeight));
    if (segment > headHeight) continue;
    if (!last || last.segment > segment) throw damaged(last?.segment ?? segment, 'it is missing');
    if (last.segment < segment || last.offset + last.bytes > bytes) throw damaged(segment, 'it has other blocks');
  }
}
