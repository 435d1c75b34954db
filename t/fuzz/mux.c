/* The mux codec going in, cut into pieces that the input chooses.
 *
 * needs: src/core/v2_buf.c src/core/v2_chain.c src/core/v2_addr.c
 * needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_core.c */

#include "../../src/proto/v2_mux.c"

#define CHILDREN    8

typedef struct {
    v2_child_t       ch;
    v2_mux_child_t   state;
    v2_chain_t       out;
    unsigned         used:1;
} peer_t;

static v2_link_view_t  view;
static peer_t          peers[CHILDREN];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


v2_link_view_t *
v2_layer_view(v2_layer_t *ly)
{
    (void) ly;

    return &view;
}


void
v2_layer_emit(v2_layer_t *ly, v2_chain_t *wire)
{
    (void) ly;
    v2_chain_free(wire);
}


void
v2_layer_timer(v2_layer_t *ly, uint64_t at_ms)
{
    (void) ly;
    (void) at_ms;
}


v2_buf_t *
v2_layer_buf(v2_layer_t *ly, size_t size)
{
    (void) ly;

    return v2_buf_mem(size);
}


v2_child_t *
v2_child_open(v2_layer_t *ly, const v2_dest_t *dest, const uint8_t *id)
{
    unsigned  i;

    (void) dest;
    (void) id;

    for (i = 0; i < CHILDREN && peers[i].used; i++) { /* void */ }

    if (i == CHILDREN) {
        return NULL;
    }

    memset(&peers[i], 0, sizeof(peers[i]));
    v2_chain_init(&peers[i].out);
    peers[i].used = 1;
    peers[i].ch.layer = ly;
    peers[i].ch.state = &peers[i].state;
    peers[i].ch.out = &peers[i].out;

    return &peers[i].ch;
}


void
v2_child_feed(v2_child_t *ch, v2_chain_t *app)
{
    (void) ch;
    v2_chain_free(app);
}


void
v2_child_close(v2_child_t *ch)
{
    v2_containerof(ch, peer_t, ch)->used = 0;
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
    v2_mux_t     state;
    v2_layer_t   ly;
    v2_chain_t   app;

    if (!ready) {
        ready = 1;
        (void) v2_buf_init(conf);
    }

    memset(&ly, 0, sizeof(ly));
    memset(&state, 0, sizeof(state));
    memset(peers, 0, sizeof(peers));
    ly.state = &state;
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
            rc = v2_mux_in(&ly, &ly.wire, &app);
        } while (rc == V2_OK);

        if (rc != V2_AGAIN) {
            break;
        }
    }

    v2_chain_free(&ly.wire);
    v2_chain_free(&app);

    return 0;
}
