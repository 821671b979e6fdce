import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { needs } from "../../scripts/needs.ts";
import { ended, startOn } from "./machine.ts";
import { freshFolder } from "./native.ts";
import { accepts, freePort, type MeasuredServer } from "./measured-servers.ts";

/** Path of Debian's libnginx-mod-nchan. */
const moduleFile = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/** Starts nginx with nchan, a pub/sub server in C; undefined if it is not installed. */
export async function startNchan(): Promise<MeasuredServer | undefined> {
  if (!needs.nginx.isInstalled() || !existsSync(moduleFile)) return undefined;
  const [port, folder] = [await freePort(), freshFolder()];
  const file = join(folder, "nginx.conf");
  writeFileSync(file, settings(port, folder));
  const child = startOn(0, ["nginx", "-p", folder, "-e", "stderr", "-c", file]);
  await accepts(port);
  // SIGTERM makes it report a double free.
  return { name: "nchan in nginx", pid: child.pid as number, port, stop: () => ended(child, "SIGKILL") };
}

/** One process, so that its CPU is the total; a minimal configuration. */
const settings = (port: number, folder: string): string => `
load_module ${moduleFile};
daemon off;
master_process off;
pid ${folder}/nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${folder};
  proxy_temp_path ${folder};
  fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder};
  scgi_temp_path ${folder};
  nchan_max_reserved_memory 256M;
  server {
    listen 127.0.0.1:${port};
    location = / { nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }
    location = /pub { nchan_publisher websocket; nchan_channel_id bench; nchan_message_buffer_length 100; }
  }
}
`;
