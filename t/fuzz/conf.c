/* The configuration: what parses must be printed, and what is printed must
 * parse again to the same.
 *
 * needs: src/core/v2_conf.c src/core/v2_conf_docs.c src/core/v2_conf_dump.c
 * needs: src/core/v2_conf_json.c src/core/v2_conf_keys.c
 * needs: src/core/v2_conf_node.c src/core/v2_conf_text.c
 * needs: src/core/v2_conf_tree.c
 * needs: src/core/v2_conf_value.c src/core/v2_conf_walk.c
 * needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_addr.c
 * needs: src/core/v2_core.c
 * libs: -ljansson */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_conf.h"

#include "v2_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static v2_conf_t *
parse(const char *text, size_t len)
{
    return v2_conf_parse(text, len, "/f/fuzz", NULL, 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char       *one, *two, *masked;
    v2_conf_t  *conf, *again;

    v2_log_init(2, 0, -1);

    conf = parse((const char *) data, size);

    if (conf == NULL) {
        return 0;
    }

    one = v2_conf_dump(conf, 1);
    again = parse(one, strlen(one));

    if (again == NULL) {
        abort();
    }

    two = v2_conf_dump(again, 1);

    if (strcmp(one, two) != 0 || v2_conf_needs_workers(conf, again)) {
        abort();
    }

    v2_conf_free(again);
    masked = v2_conf_dump(conf, 0);
    again = parse(masked, strlen(masked));

    if (again == NULL || again->nodes_n != conf->nodes_n) {
        abort();
    }

    v2_conf_free(again);
    v2_conf_free(conf);
    free(one);
    free(two);
    free(masked);

    return 0;
}
