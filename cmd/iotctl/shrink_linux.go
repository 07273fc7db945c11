package main

import (
	"debug/elf"
	"os"

	"golang.org/x/sys/unix"
)

// shrink gives back the pages of the program that nobody can have written to, most
// of what a waiting sub holds and only its start has used. The kernel takes them
// from the file, or its cache, when they are needed again.
func shrink() {
	program, err := elf.Open("/proc/self/exe")
	if err != nil {
		return
	}
	defer program.Close()
	if program.Type != elf.ET_EXEC {
		return // what is moved as it is loaded has been written to
	}
	page := uint64(os.Getpagesize())
	for _, p := range program.Progs {
		if p.Type != elf.PT_LOAD || p.Flags&elf.PF_W != 0 {
			continue
		}
		from := p.Vaddr / page * page
		length := (p.Vaddr + p.Memsz - from + page - 1) / page * page
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(length), unix.MADV_DONTNEED)
	}
}
