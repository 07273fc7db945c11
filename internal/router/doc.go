// Package router knows everything about topics: which names and filters are
// valid, which filters match a name (Tree, the subscriptions), and which names
// a filter matches (Names, the retained messages).
//
// It promises that a walk recurses at most MaxLevels deep, that matching
// allocates nothing but to grow the caller's slice, and that its containers
// may be used from any goroutine; how they do that is theirs, and no lock is
// ever held while foreign code runs.
//
// It leaves out what a value means: shared groups, rights, and merging of
// overlapping subscriptions are the broker's. Well-formed UTF-8 is the codec's.
package router
