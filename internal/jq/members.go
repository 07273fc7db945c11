package jq

import "github.com/itchyny/gojq"

// Members are those of the input that the expression asks for by name, where it
// is plain that it means the input: those behind a pipe or in a function of its
// own may be of anything.
func (q *Query) Members() []string { return q.members }

// Assigns tells that the expression as a whole is an assignment, a = b, which is
// true of every object.
func (q *Query) Assigns() bool { return q.assigns }

// members appends those of a part that sees the input.
func members(names []string, q *gojq.Query) []string {
	if q == nil || len(q.FuncDefs) > 0 {
		return names
	}
	if q.Term == nil {
		switch q.Op {
		case gojq.OpPipe:
			return members(names, q.Left)
		case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul,
			gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
			return names // what they make may be new
		}
		return members(members(names, q.Left), q.Right)
	}
	t := q.Term
	for _, suffix := range t.SuffixList {
		if suffix.Optional {
			return names
		}
	}
	switch {
	case t.Index != nil && t.Index.Name != "":
		return append(names, t.Index.Name)
	case t.Query != nil:
		return members(names, t.Query)
	case t.Array != nil:
		return members(names, t.Array.Query)
	case t.Func != nil && t.Func.Name == "select" && len(t.Func.Args) == 1:
		return members(names, t.Func.Args[0])
	}
	return names
}
