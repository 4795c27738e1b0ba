import { builtInContracts, type Contract, type ContractState, Kernel, type MessageDefinition } from '@salus/contracts';

/** What must never be in a contract, to see that the simulation finds it. */
type Plant = (member: number) => string;

const plants: Record<string, Plant> = {
  /** A handler that draws a random number. */
  random: () => String(Math.floor(Math.random() * 1_000_000)),
  /** A handler that writes in the order in which its process happened to fill a map. */
  order: (member) => {
    const met = new Map<string, boolean>();
    for (const name of member % 2 === 0 ? ['a', 'b'] : ['b', 'a']) met.set(name, true);
    return [...met.keys()].join();
  },
  /** A handler that asks a clock: the same in one process at one time, another when a block is executed again. */
  clock: () => String(Math.floor(performance.now())),
};

function withPlant(contract: Contract, text: () => string): Contract {
  const stamp = contract.messages['kernel/stamp'] as MessageDefinition;
  const handle: MessageDefinition['handle'] = (state: ContractState, message, context) => {
    const output = stamp.handle(state, message, context);
    state.emit('Planted', { text: text() });
    return output;
  };
  return { ...contract, messages: { ...contract.messages, 'kernel/stamp': { ...stamp, handle } } };
}

/** Kernels whose `kernel/stamp` does it. */
export function plantedKernels(name: string): (member: number) => Kernel {
  const plant = plants[name];
  if (!plant) throw new Error(`there is no plant ${name}; choose one of ${Object.keys(plants).join(', ')}`);
  return (member) => {
    const contracts = builtInContracts.map((contract) => {
      return contract.name === 'kernel' ? withPlant(contract, () => plant(member)) : contract;
    });
    return new Kernel(contracts);
  };
}
