"""The nouns that move money: cards, payments, refunds, disputes and the balance."""
