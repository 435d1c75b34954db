/* Node specs as a hostile panel process could write them. A copy with its
 * checksum made right follows each input, so that the ranges are reached.
 *
 * needs: src/core/v2_spec.c src/core/v2_flat.c src/core/v2_log.c
 * needs: src/core/v2_time.c src/core/v2_core.c */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_spec.h"

#include "v2_flat.h"

#define BODY    (offsetof(v2_spec_t, checksum) + 8)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* What v2_spec_check() promises, without its help. */
static void
promise(const v2_spec_t *spec)
{
    if (spec->node > 255 || spec->port == 0
        || strnlen(spec->protocol, sizeof(spec->protocol))
           == sizeof(spec->protocol)
        || strnlen(spec->network, sizeof(spec->network))
           == sizeof(spec->network)
        || strnlen(spec->flow, sizeof(spec->flow)) == sizeof(spec->flow)
        || strnlen(spec->server_name, sizeof(spec->server_name))
           == sizeof(spec->server_name)
        || spec->push_s - 5 > 3595 || spec->pull_s - 5 > 3595)
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    v2_spec_t   *spec;
    const char  *why;

    (void) v2_spec_check(data, size, &why);

    if (size < sizeof(v2_spec_t)) {
        return 0;
    }

    spec = malloc(size);
    memcpy(spec, data, size);
    spec->magic = V2_SPEC_MAGIC;
    spec->version = V2_SPEC_VERSION;
    spec->size = (uint32_t) size;
    spec->checksum = v2_hash64((char *) spec + BODY, size - BODY, 0);

    if (v2_spec_check(spec, size, &why) == V2_OK) {
        promise(spec);
    }

    free(spec);

    return 0;
}
