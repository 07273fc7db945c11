//go:build !unix

package main

import "os"

// openKeys opens the console's input.
func openKeys() (*os.File, error) { return os.OpenFile("CONIN$", os.O_RDWR, 0) }

// interruptKeys cannot end a read here: it ends with the process.
func interruptKeys(*os.File) bool { return false }
