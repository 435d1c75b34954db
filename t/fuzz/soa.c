/* The SOA record of a name server's answer.
 *
 * needs: src/core/v2_soa.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_core.c */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_soa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void) v2_soa_ttl(data, size, 30);

    return 0;
}
