// Package traffic keeps live statistics of topics: how often and how much, at
// which QoS, when last and what. It stands behind top and sub --table.
//
// It does no I/O, starts nothing, takes no lock and reads no clock: time is passed
// in, and never goes back. A Table belongs to one goroutine at a time.
//
// # Rates
//
// A rate is a mean weighted by age: what came t ago counts exp(-t/Window), so
// that it settles within three times Window and takes no room per second. It is
// measured against the time for which the Table has been observing, so that a
// topic that began with it is not shown as slow at first. Retained messages that
// were stored count as messages, but not for the rate: they come all at once.
//
// # Bounds
//
// A Table keeps Config.Topics topics within Config.Bytes. When there are more,
// those that have been silent for the longest are forgotten, and counted:
// Totals say so. Of a payload the first Config.ValueBytes are kept.
package traffic
