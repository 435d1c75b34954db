/* The VLESS codec going in, cut into pieces that the input chooses.
 *
 * needs: src/core/v2_buf.c src/core/v2_chain.c src/core/v2_addr.c
 * needs: src/proto/v2_vision.c
 * needs: src/core/v2_uuid.c src/core/v2_crypt.c src/core/v2_log.c
 * needs: src/core/v2_time.c src/core/v2_core.c
 * libs: -lcrypto */

#include "../../src/proto/v2_vless.c"

static v2_link_view_t  view;
static v2_inode_t      node;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


v2_link_view_t *
v2_layer_view(v2_layer_t *ly)
{
    (void) ly;

    return &view;
}


/* Every second id is somebody's, so that the rest of the header is reached. */
v2_int_t
v2_layer_user(v2_layer_t *ly, const uint8_t *cred, unsigned len)
{
    (void) ly;
    (void) len;

    return cred[0] & 1 ? V2_OK : V2_DECLINED;
}


v2_int_t
v2_layer_push(v2_layer_t *ly, const char *codec)
{
    (void) ly;
    (void) codec;

    return V2_OK;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int                  ready;
    static const v2_buf_conf_t  conf[V2_BUF_GROUPS] = {
        { 2048, 16 }, { 16384 + 512, 16 }, { 262144, 4 }
    };

    size_t       n, step;
    v2_buf_t    *b;
    v2_int_t     rc;
    v2_layer_t   ly;
    v2_vless_t   state;
    v2_chain_t   app;

    if (!ready) {
        ready = 1;
        (void) v2_buf_init(conf);
    }

    memset(&ly, 0, sizeof(ly));
    memset(&view, 0, sizeof(view));
    memset(&state, 0, sizeof(state));
    ly.state = &state;
    view.node = &node;
    view.req.tls_version = V2_VISION_TLS;
    (void) strcpy(node.flow, size && data[0] & 64 ? V2_VISION_FLOW : "");
    v2_chain_init(&ly.wire);
    v2_chain_init(&app);
    step = size ? 1 + data[0] % 64 : 1;

    while (size) {
        n = v2_min(step, size);
        b = v2_buf_mem(n);
        memcpy(b->data + V2_BUF_HEAD, data, n);
        (void) v2_chain_add(&ly.wire, b, V2_BUF_HEAD, (uint32_t) n, 0);
        data += n;
        size -= n;

        do {
            rc = v2_vless_in(&ly, &ly.wire, &app);
        } while (rc == V2_OK || rc == V2_DONE);

        if (rc != V2_AGAIN) {
            break;
        }
    }

    v2_chain_free(&ly.wire);
    v2_chain_free(&app);

    return 0;
}
