import type { MessageIssue } from '../index.js';

/**
 * What every schema library that follows the Standard Schema, version 1, has under `~standard`:
 * zod, valibot, arktype and others. See <https://standardschema.dev>.
 */
export interface StandardSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (
      value: unknown,
    ) => StandardResult<Output> | PromiseLike<StandardResult<Output>>;
    /** Only a type. */
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** The value as the schema has it, or what is wrong with it. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly MessageIssue[] };
