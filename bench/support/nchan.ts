import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { needs } from "../../scripts/needs.ts";
import { ended, startOn } from "./machine.ts";
import { freshFolder } from "./native.ts";
import { accepts, freePort, type Subject } from "./subjects.ts";

/** Where Debian's libnginx-mod-nchan puts it. */
const moduleFile = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/** nginx with nchan, a server of channels in C; undefined where it is not installed. */
export async function startNchan(): Promise<Subject | undefined> {
  if (!needs.nginx.isThere() || !existsSync(moduleFile)) return undefined;
  const [port, folder] = [await freePort(), freshFolder()];
  const file = join(folder, "nginx.conf");
  writeFileSync(file, settings(port, folder));
  const child = startOn(0, ["nginx", "-p", folder, "-e", "stderr", "-c", file]);
  await accepts(port);
  // Asked to end it frees something twice, and says so.
  return { name: "nchan in nginx", pid: child.pid as number, port, stop: () => ended(child, "SIGKILL") };
}

/** One process, so that its CPU is all there is; as little of nginx as nchan needs. */
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
