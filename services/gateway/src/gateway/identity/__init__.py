"""Who is calling: tokens, issuers, sign-in, cookies and tickets."""
