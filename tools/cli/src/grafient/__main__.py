from grafient.main import app

app()
