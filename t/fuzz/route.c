/* The rule files: the first byte chooses which file the rest is, or that it
 * is a compiled block. What compiles must pass its own check, and what passes
 * the check must be safe to ask.
 *
 * needs: src/route/v2_route.c src/route/v2_route_compile.c
 * needs: src/route/v2_route_json.c src/route/v2_route_default.c
 * needs: src/route/v2_route_ranges.c src/core/v2_conf_json.c
 * needs: src/core/v2_flat.c src/core/v2_addr.c src/core/v2_log.c
 * needs: src/core/v2_time.c src/core/v2_core.c
 * libs: -ljansson */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
ask_all(const void *block)
{
    size_t             i;
    v2_addr_t          a;
    v2_dest_t          d;
    v2_route_ask_t     ask;
    v2_route_answer_t  answer;

    static const char *const  hosts[] = {
        "1.2.3.4", "10.0.0.1", "::1", "2001:db8::1", "64:ff9b::10.0.0.1",
    };

    memset(&ask, 0, sizeof(ask));
    memset(&d, 0, sizeof(d));
    memset(&a, 0, sizeof(a));
    ask.inbound = "node";
    ask.dest = &d;

    for (i = 0; i < v2_nelems(hosts) * 2; i++) {
        if (v2_addr_parse(&a, hosts[i / 2]) != V2_OK) {
            abort();
        }

        d.udp = i & 1;
        d.port = (uint16_t) (i * 53);
        ask.ip = i % 3 != 0 ? &a : NULL;
        v2_router.route(block, &ask, &answer);

        if (answer.rule == NULL || strlen(answer.rule) > 65536) {
            abort();
        }

        if (ask.ip != NULL && answer.action == V2_ROUTE_DIRECT
            && !answer.private_ok && v2_addr_private(&a))
        {
            abort();
        }
    }
}


static void
check_block(const uint8_t *data, size_t size)
{
    void  *copy;

    copy = malloc(size + 1);

    if (copy == NULL) {
        return;
    }

    memcpy(copy, data, size);

    if (v2_router.check(copy, size) == V2_OK) {
        ask_all(copy);
    }

    free(copy);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char         why[300];
    size_t       len[3] = { 0, 0, 0 };
    v2_ref_t     ref;
    v2_flat_t    flat;
    const char  *text;

    if (size == 0) {
        return 0;
    }

    text = (const char *) data + 1;
    size--;

    if (data[0] % 4 == 3) {
        check_block(data + 1, size);
        return 0;
    }

    len[data[0] % 4] = size;
    v2_flat_init(&flat);

    if (v2_router.compile(&flat, &ref, text, len[0], text, len[1], text,
                          len[2], why, sizeof(why)) == V2_OK)
    {
        if (v2_router.check(flat.data + ref.off, ref.len) != V2_OK) {
            abort();
        }

        ask_all(flat.data + ref.off);

    } else if (strpbrk(why, "\n\r") != NULL || why[0] == '\0') {
        abort();
    }

    v2_flat_done(&flat);

    return 0;
}
