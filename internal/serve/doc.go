// Package serve makes a running server out of a configuration: it knows the
// file format, checks the whole configuration before anything starts, wires
// stores, authenticators, the broker, gateways and listeners together, and
// starts, reloads and stops them in the right order. What there is to choose
// from comes in a table, Builtin.
//
// Promises:
//
//   - Every problem of a configuration is reported at once, with its path and
//     line; unknown keys are problems.
//   - A server that others could reach without logging in does not start
//     unless the configuration says so in as many words.
//   - Reload checks everything first. With a problem the server goes on as it
//     was. Clients stay connected in either case.
//   - When Wait has returned, everything that the server started has ended.
//
// # Order
//
// Start: methods of authentication, store, broker, gateways, the ports that are
// their own (Holder), sockets, and only when all sockets are open the first Accept;
// at last the control socket. Stop: the control socket; the broker refuses new
// clients and tells the others; gateways close their sockets, let their clients go
// and close their own ports; broker; store. A store that has broken ends the server
// in the same order: the broker acknowledges nothing any more.
//
// # Goroutines
//
// One per listener (Gateway.Serve, which owns the rest), one for the broker's
// timers, one that watches certificate files, one that watches the store, one
// for the control socket and two per request there, and one that waits for the
// end.
// Server.mu serialises Reload and the end; it is not taken by anything that a
// message passes through.
//
// Left out: what only a restart can change. Reload says so when it meets a
// change of the sections of broker and store, and of gateways that take no new
// settings.
package serve
