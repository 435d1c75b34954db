/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/panel/v2_panel_config.c
 * needs: src/panel/v2_panel_json.c src/panel/v2_panel_text.c */
/* libs: -ljansson -lm */

/* A panel's answer to config: whatever it holds, a spec that was taken is
 * whole and in its ranges, and one that was not is explained. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_answer.h"
#include "../unit/panel/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
must(int cond)
{
    if (!cond) {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                 *body, type[] = "";
    v2_int_t              rc;
    v2_node_conf_t        conf;
    v2_config_answer_t    a;

    memset(&conf, 0, sizeof(conf));
    conf.node_type = type;

    body = malloc(size + 1);        /* exact, so that a step beyond is seen */
    must(body != NULL);
    memcpy(body, data, size);

    rc = v2_answer_config(body, size, &conf, &a);

    must(a.spec.push_s >= 5 && a.spec.push_s <= 3600);
    must(a.spec.pull_s >= 5 && a.spec.pull_s <= 3600);
    must(memchr(a.why, '\0', sizeof(a.why)) != NULL);
    must(memchr(a.warn, '\0', sizeof(a.warn)) != NULL);

    if (rc == V2_OK) {
        must(a.spec.port != 0);
        must(strcmp(a.spec.protocol, "vless") == 0);
        must(strcmp(a.spec.network, "tcp") == 0);
        must(memchr(a.spec.server_name, '\0', sizeof(a.spec.server_name))
             != NULL);
        must(a.spec.security <= V2_SEC_TLS);

    } else {
        must(a.why[0] != '\0');
    }

    free(body);
    return 0;
}
