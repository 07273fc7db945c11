package framing

import "regexp/syntax"

// endings are the runes with which everything ends that an expression matches, and
// which stand nowhere else in it. At such a rune a match is known to be one without
// what follows. nil: the expression has none, or too many.
type endings map[rune]bool

const maxEndings = 64

// endingsOf finds the endings of an expression that compiles.
func endingsOf(pattern string) endings {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil
	}
	ends, inner := endings{}, []*syntax.Inst(nil)
	for i := range prog.Inst {
		inst := &prog.Inst[i]
		if !consumes(inst) {
			continue
		}
		switch matches, more := follow(prog, inst.Out); {
		case matches && (more || !ends.add(inst)):
			return nil
		case !matches:
			inner = append(inner, inst)
		}
	}
	for _, inst := range inner {
		for r := range ends {
			if inst.MatchRune(r) {
				return nil
			}
		}
	}
	return ends
}

func consumes(inst *syntax.Inst) bool {
	switch inst.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

// follow tells whether the end of a match comes at pc without another rune, and
// whether anything else does, a look at what follows included.
func follow(prog *syntax.Prog, pc uint32) (matches, more bool) {
	seen := map[uint32]bool{}
	for open := []uint32{pc}; len(open) > 0; {
		pc, open = open[len(open)-1], open[:len(open)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch inst := &prog.Inst[pc]; inst.Op {
		case syntax.InstMatch:
			matches = true
		case syntax.InstAlt, syntax.InstAltMatch:
			open = append(open, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			open = append(open, inst.Out)
		case syntax.InstEmptyWidth:
			more = true
			open = append(open, inst.Out)
		case syntax.InstFail:
		default:
			more = true
		}
	}
	return matches, more
}

// add adds what inst matches; false: too much, or letters of either case.
func (e endings) add(inst *syntax.Inst) bool {
	if inst.Op != syntax.InstRune && inst.Op != syntax.InstRune1 || syntax.Flags(inst.Arg)&syntax.FoldCase != 0 {
		return false
	}
	if len(inst.Rune) == 1 {
		e[inst.Rune[0]] = true
	}
	for i := 0; i+1 < len(inst.Rune); i += 2 {
		for r := inst.Rune[i]; r <= inst.Rune[i+1]; r++ {
			if e[r] = true; len(e) > maxEndings {
				return false
			}
		}
	}
	return len(e) <= maxEndings
}
