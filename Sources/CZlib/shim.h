// What SampleFiles uses of zlib: raw inflate and CRC-32.
#ifndef ROUTEGRAD_CZLIB_SHIM_H
#define ROUTEGRAD_CZLIB_SHIM_H

#include <zlib.h>

// A macro, which Swift does not import: inflate without zlib's own header, as ZIP members are stored.
static inline int rg_inflate_raw_init(z_stream *stream) { return inflateInit2(stream, -MAX_WBITS); }

#endif
