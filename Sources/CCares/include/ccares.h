/* c-ares, which asks name servers and reads what they say, and what it leaves out. It is linked statically. */
#ifndef LIMPET_CCARES_H
#define LIMPET_CCARES_H

#include <ares.h>
#include <stdint.h>

/* Types of records (RFC 1035, 3596, 2782). */
enum { LIMPET_RECORD_A = 1, LIMPET_RECORD_AAAA = 28, LIMPET_RECORD_SRV = 33 };

/* The shortest time for which an answer counts, in seconds: the least TTL among its CNAME and SRV records, of which
 * ares_parse_srv_reply tells none. -1: there are none, or the message is damaged. */
int64_t limpet_srv_ttl(const unsigned char *_Nonnull message, int length);

#endif
