// Package authtest is the suite that every authentication and authorisation
// method runs over itself. It checks what the contract in package auth asks of
// all of them; what a method's own files and credentials look like is for the
// method's own tests.
package authtest
