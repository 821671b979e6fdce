/** The setting that chooses the port a server listens on. */
export type PortSetting = "PORT" | "METRICS_PORT" | "CONSOLE_PORT";

/** The address of a setting cannot be listened on. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code: string | undefined;
  readonly setting: PortSetting;

  constructor(cause: NodeJS.ErrnoException, setting: PortSetting) {
    super(cause.message, { cause });
    this.code = cause.code;
    this.setting = setting;
  }
}
