/* How a node and its panel are named over reloads and restarts. Used by the
 * panel process and by the master; needs neither curl nor JSON.
 *
 * The query of ApiHost and a slash at its end are left out, so that an admin
 * may change them without making all users new ones. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_flat.h"
#include "v2_panel.h"

static uint64_t v2_ident_panel(const v2_node_conf_t *node);


uint64_t
v2_node_identity(const v2_node_conf_t *node)
{
    uint64_t  h;
    uint32_t  id;

    id = node->node_id;
    h = v2_hash64(&id, sizeof(id), v2_ident_panel(node));

    return (h != 0) ? h : 1;
}


uint32_t
v2_panel_identity(const v2_node_conf_t *node)
{
    uint64_t  h;

    h = v2_ident_panel(node);
    h ^= h >> 32;

    return ((uint32_t) h != 0) ? (uint32_t) h : 1;
}


const char *
v2_node_dir(const v2_node_conf_t *node)
{
    const char  *dir;

    if (node->api_host == NULL || strncmp(node->api_host, "file:", 5) != 0) {
        return NULL;
    }

    dir = node->api_host + 5;

    if (strncmp(dir, "//", 2) == 0) {
        dir += 2;
    }

    return dir;
}


static uint64_t
v2_ident_panel(const v2_node_conf_t *node)
{
    size_t       len;
    uint64_t     h;
    const char  *host, *key;

    host = (node->api_host != NULL) ? node->api_host : "";
    key = (node->api_key != NULL) ? node->api_key : "";

    len = strcspn(host, "?#");
    while (len > 0 && host[len - 1] == '/') {
        len--;
    }

    h = v2_hash64(host, len, 0x76327370);

    return v2_hash64(key, strlen(key), h);
}
