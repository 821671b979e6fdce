/** Somebody on this node who reads channels. `server` makes one per connection; `channels` never sees a socket. */
export interface Subscriber {
  /** Unique on this node. */
  readonly id: string;
}
