package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// The first block of constants in exit.go is what `iotctl help exit-codes` lists.
func TestEveryExitCodeIsInTheTable(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "exit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[exitCode]bool{}
	last := exitCode(-1)
	for _, c := range exitCodes {
		if c.code <= last || c.meaning == "" {
			t.Errorf("%d stands behind %d: %q", c.code, last, c.meaning)
		}
		listed[c.code], last = true, c.code
	}
	found := 0
	for _, d := range file.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		for _, s := range block.Specs {
			spec := s.(*ast.ValueSpec)
			value, ok := spec.Values[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s is no number", spec.Names[0])
				continue
			}
			n, err := strconv.Atoi(value.Value)
			if err != nil || !listed[exitCode(n)] {
				t.Errorf("%s, %s, is not in the table", spec.Names[0], value.Value)
			}
			found++
		}
		break
	}
	if found != len(exitCodes) {
		t.Errorf("%d constants, and the table has %d lines", found, len(exitCodes))
	}
}
