import { createClient } from '@salus/api';
import { expiryText } from '@salus/server';
import { type AddCommand, examples, type GlobalOptions, urlDefault } from '../cli.ts';

interface StatusOptions extends GlobalOptions {
  url: string;
}

export const addStatus: AddCommand = (program, cli) => {
  program
    .command('status')
    .summary('show what a running node is and does')
    .option('--url <url>', 'address of the node', urlDefault)
    .addHelpText('after', examples('salus status', 'salus status --url http://127.0.0.1:9000 --json'))
    .action(
      cli.action<StatusOptions, []>(async (options) => {
        const status = await createClient({ baseUrl: options.url }).status();
        const organizations = status.organizations.map(
          ({ slug, name, role }) => `  ${slug.padEnd(12)}${name} (${role})`,
        );
        const text = [
          `Chain        ${status.chain}`,
          `Version      ${status.version}, ${status.engine} engine`,
          `Height       ${status.height}, ${new Date(status.blockTimeMs).toISOString()}`,
          `State root   ${status.appHash}`,
          'Organisations',
          ...organizations,
          ...(status.expiring.length > 0 ? ['Ends soon'] : []),
          ...status.expiring.map((one) => `  ${one.level}: ${expiryText(one)}`),
        ];
        return { value: status, text: text.join('\n') };
      }),
    );
};
