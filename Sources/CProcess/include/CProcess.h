#ifndef CPROCESS_H
#define CPROCESS_H

/// What Swift cannot call because it is variadic.

/// Makes orphans among the descendants of this process its children. Returns 0, or -1 where the system has no such thing.
int cprocess_adopt_orphans(void);

#endif
