// Package exprotov1 holds the Go code that is generated from exproto.proto, by
// make proto. Beside it there are only the tests of what goes over the wire.
package exprotov1
