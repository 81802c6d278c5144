"""How small, dark or covered a hand may be and still be found, how soon, and what is taken for a hand that is none."""
