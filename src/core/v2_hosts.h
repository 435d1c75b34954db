/* The hosts file as a table of names. Read whole, then only searched; the
 * resolver makes a new one when the file changed. */

#ifndef V2_HOSTS_H
#define V2_HOSTS_H

#include "v2_addr.h"

typedef struct v2_hosts_s  v2_hosts_t;

/* Parses the text of a hosts file: an address and names on each line, # for
 * comments. Lines that are not understood are passed over, as every resolver
 * does. NULL: no memory. */
v2_hosts_t  *v2_hosts_create(const char *text, size_t len);
/* The same from a file. NULL: logged. */
v2_hosts_t  *v2_hosts_load(const char *path);
void         v2_hosts_destroy(v2_hosts_t *h);

/* The addresses of a name (lower case, no dot at its end) in the order of the
 * file, at most max; ports are 0. Returns how many; 0: not in the file. */
uint32_t     v2_hosts_find(const v2_hosts_t *h, const char *name,
    v2_addr_t *addrs, uint32_t max);

#endif
