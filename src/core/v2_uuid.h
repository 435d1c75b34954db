/* User ids of VLESS and VMess as their clients read them (protocols.md 0.2):
 * hex with optional hyphens, or a name mapped to a version-5 UUID under the
 * nil namespace. */

#ifndef V2_UUID_H
#define V2_UUID_H

/* text to 16 bytes. V2_ERROR: 0, 31 or over 36 characters, or no hex where
 * hex must be. */
v2_int_t  v2_uuid_parse(const char *text, uint8_t out[16]);

#endif
