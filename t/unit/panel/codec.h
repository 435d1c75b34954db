/* A codec table for tests of the panel process: one protocol, "vless", whose
 * credential is a hash of the text; texts under 8 bytes cannot be used. */

#ifndef V2_TEST_CODEC_H
#define V2_TEST_CODEC_H

#include "v2_codec.h"
#include "v2_flat.h"
#include "v2_spec.h"


static v2_int_t
test_check(const v2_spec_t *spec, char *why, size_t size)
{
    if (spec->flow[0] != '\0') {
        (void) snprintf(why, size, "flow \"%s\" is not built yet", spec->flow);
        return V2_ERROR;
    }

    return V2_OK;
}


static v2_int_t
test_index(const v2_spec_t *spec, const char *uuid, v2_cred_t *cred)
{
    uint64_t  h;

    (void) spec;

    if (strlen(uuid) < 8) {
        return V2_ERROR;
    }

    h = v2_hash64(uuid, strlen(uuid), 0);
    memset(cred, 0, sizeof(*cred));
    memcpy(cred->bytes, &h, sizeof(h));
    cred->len = 16;

    return V2_OK;
}


static const v2_codec_t  test_codec = {
    .name  = "vless",
    .check = test_check,
    .index = test_index
};


const v2_codec_t *const  v2_codecs[] = { &test_codec, NULL };


const v2_codec_t *
v2_codec_find(const char *name)
{
    return strcmp(name, "vless") == 0 ? &test_codec : NULL;
}

#endif
