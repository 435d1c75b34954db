/* Images: after a check that passed, every ref is walked to its last byte. A
 * copy with its checksum made right follows each input.
 *
 * needs: src/core/v2_image.c src/core/v2_flat.c src/core/v2_log.c
 * needs: src/core/v2_time.c src/core/v2_core.c */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_image.h"

#define BODY    (offsetof(v2_image_t, checksum) + 8)

static volatile unsigned  sink;         /* so that nothing is left out */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static unsigned
sum(const v2_image_t *im, v2_ref_t ref)
{
    uint32_t        i;
    unsigned        n;
    const uint8_t  *p;

    p = v2_image_at(im, ref);

    for (i = 0, n = 0; i < ref.len; i++) {
        n += p[i];
    }

    return n;
}


static void
walk(const v2_image_t *im)
{
    unsigned           n;
    uint32_t           i;
    const v2_inode_t  *in;

    n = sum(im, im->route);

    for (i = 0; i < im->nodes_n; i++) {
        in = &v2_image_nodes(im)[i];

        n += sum(im, in->cert_pem) + sum(im, in->key_pem)
             + sum(im, in->alpn);
        n += (unsigned) strlen(in->protocol) + (unsigned) strlen(in->network)
             + (unsigned) strlen(in->flow);

        if (in->tag.len > 0) {
            n += (unsigned) strlen(v2_image_at(im, in->tag));
        }

        if (in->server_name.len > 0) {
            n += (unsigned) strlen(v2_image_at(im, in->server_name));
        }
    }

    sink = n;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char  *why;
    v2_image_t  *im;

    im = malloc(size + 1);
    memcpy(im, data, size);

    (void) v2_image_check(im, size, &why);

    if (size >= sizeof(v2_image_t)) {
        im->magic = V2_IMAGE_MAGIC;
        im->version = V2_IMAGE_VERSION;
        im->size = (uint32_t) size;
        im->checksum = v2_hash64((char *) im + BODY, size - BODY, 0);

        if (v2_image_check(im, size, &why) == V2_OK) {
            walk(im);
        }
    }

    free(im);

    return 0;
}
