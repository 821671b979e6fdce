/*
 * The accelerator: writes the same bytes to many sockets in one call from JavaScript. Tidegate runs without it; it saves the
 * way between JavaScript and the kernel for each socket, and goes to the kernel by send(2), which is shorter than the
 * write(2) that libuv uses. Compiled by `npm run accelerate`.
 */
#include <errno.h>
#include <node_api.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* Node ignores SIGPIPE. */
#endif

struct array {
  void *data;
  size_t length;
};

/* False where it is not a typed array of that kind. */
static bool read_array(napi_env env, napi_value value, napi_typedarray_type wanted, struct array *array) {
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, &array->length, &array->data, NULL, NULL) != napi_ok) return false;
  return type == wanted;
}

/*
 * sendEach(descriptors: Int32Array, count: number, bytes: Uint8Array, sent: Int32Array): void
 *
 * `sent` gets for each of the first `count` descriptors how many of the bytes the kernel took at once, or -errno. Never
 * waits.
 */
static napi_value send_each(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  size_t argument_count = 4;
  struct array descriptors, bytes, sent;
  uint32_t count;

  bool is_fine = napi_get_cb_info(env, info, &argument_count, arguments, NULL, NULL) == napi_ok &&
                 argument_count == 4 && read_array(env, arguments[0], napi_int32_array, &descriptors) &&
                 napi_get_value_uint32(env, arguments[1], &count) == napi_ok &&
                 read_array(env, arguments[2], napi_uint8_array, &bytes) &&
                 read_array(env, arguments[3], napi_int32_array, &sent) && count <= descriptors.length &&
                 count <= sent.length;
  if (!is_fine) {
    napi_throw_type_error(env, NULL, "sendEach takes an Int32Array, a count within it, a Uint8Array and an Int32Array");
    return NULL;
  }

  const int32_t *to = descriptors.data;
  int32_t *outcome = sent.data;
  for (uint32_t i = 0; i < count; i++) {
    ssize_t taken = send(to[i], bytes.data, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    outcome[i] = taken < 0 ? -errno : (int32_t)taken;
  }
  return NULL;
}

NAPI_MODULE_INIT() {
  napi_value sendEach;
  if (napi_create_function(env, "sendEach", NAPI_AUTO_LENGTH, send_each, NULL, &sendEach) != napi_ok) return NULL;
  if (napi_set_named_property(env, exports, "sendEach", sendEach) != napi_ok) return NULL;
  return exports;
}
