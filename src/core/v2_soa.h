/* How long a name server's answer without addresses may be kept. c-ares 1.18
 * reads no authority section, where that stands. */

#ifndef V2_SOA_H
#define V2_SOA_H

/* Seconds: the lower of the TTL and the last field of the SOA record in the
 * authority section (RFC 2308 section 5). `otherwise` where there is none, or
 * where the message breaks off. */
uint32_t  v2_soa_ttl(const uint8_t *data, size_t size, uint32_t otherwise);

#endif
