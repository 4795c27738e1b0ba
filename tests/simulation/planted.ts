import { builtInContracts, type Contract, ContractError, Kernel, type MessageDefinition } from '@salus/contracts';
import type { SimulationOptions } from './simulation.ts';

type Handler = MessageDefinition['handle'];
type Planted = Pick<SimulationOptions, 'kernelOf' | 'isDiskLying'>;

const registration = 'identity/registerPatient';

/** A registration that also writes down what only this member, or this moment, knows. */
const telling =
  (text: (member: number) => string) =>
  (type: string, handle: Handler, member: number): Handler => {
    if (type !== registration) return handle;
    return (state, message, context) => {
      const output = handle(state, message, context);
      state.emit('Planted', { text: text(member) });
      return output;
    };
  };

/** What must never be in a contract: by name, what it makes of a handler. */
const plants: Record<string, (type: string, handle: Handler, member: number) => Handler> = {
  random: telling(() => String(Math.floor(Math.random() * 1_000_000))),
  /** In the order in which its process happened to fill a map. */
  order: telling((member) => {
    const met = new Map((member % 2 === 0 ? ['a', 'b'] : ['b', 'a']).map((name) => [name, true]));
    return [...met.keys()].join();
  }),
  clock: telling(() => String(Math.floor(performance.now()))),
  /** Whatever is refused passes, on all members alike. */
  open: (_type, handle) => (state, message, context) => {
    try {
      return handle(state, message, context);
    } catch (error) {
      if (error instanceof ContractError) return null;
      throw error;
    }
  },
};

function withPlant(contract: Contract, plant: (type: string, handle: Handler) => Handler): Contract {
  const messages = Object.entries(contract.messages).map(([type, definition]) => {
    return [type, { ...definition, handle: plant(type, definition.handle) }];
  });
  return { ...contract, messages: Object.fromEntries(messages) };
}

/** Something wrong on purpose, to see that the simulation finds it. */
export function planted(name: string): Planted {
  if (name === 'unsynced') return { isDiskLying: true };
  const plant = plants[name];
  if (!plant)
    throw new Error(`there is no ${name} to plant; choose ${[...Object.keys(plants), 'unsynced'].join(', ')}`);
  const kernelOf = (member: number): Kernel => {
    return new Kernel(
      builtInContracts.map((contract) => withPlant(contract, (type, handle) => plant(type, handle, member))),
    );
  };
  return { kernelOf };
}
